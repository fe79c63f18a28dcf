-- As orders/0010: a document is text.
alter table payments.payment alter column data type text;
alter table payments.payment alter column data set statistics 0;
alter table payments.refund alter column told type text;
alter table payments.refund alter column told set statistics 0;
