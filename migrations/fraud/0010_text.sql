-- As orders/0010: a document is text.
alter table fraud.assessment alter column data type text;
alter table fraud.assessment alter column data set statistics 0;
