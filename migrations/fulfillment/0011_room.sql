-- As saga_tracker/0010: 87,301 of 115,200 changes were HOT.
alter table fulfillment.consignment set (fillfactor = 30);
