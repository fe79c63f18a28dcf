-- As orders/0010: a document is text.
alter table fulfillment.consignment alter column data type text;
alter table fulfillment.consignment alter column data set statistics 0;
