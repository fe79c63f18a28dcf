-- A dozen versions of an order's row in a few seconds: with half of each page free a third of them found no room on theirs, and each of those cost an
-- entry in every index (pg_stat_user_tables: 240,751 of 367,016 changes HOT).
alter table saga_tracker."order" set (fillfactor = 25);
alter table saga_tracker.shipment set (fillfactor = 50);
