-- As orders/0010: a document is text.
alter table sandbox.operation alter column answer type text;
alter table sandbox.operation alter column answer set statistics 0;
alter table sandbox.payment alter column card type text;
alter table sandbox.payment alter column card set statistics 0;
