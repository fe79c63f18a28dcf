-- As orders/0010: a document is text. Who asks in SQL casts: `data::jsonb -> 'holdings'`.
alter table inventory.reservation alter column data type text;
alter table inventory.reservation alter column data set statistics 0;
