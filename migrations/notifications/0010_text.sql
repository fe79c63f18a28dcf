-- As orders/0010: a document is text.
alter table notifications.customer alter column contact type text, alter column waiting type text;
alter table notifications.customer alter column contact set statistics 0, alter column waiting set statistics 0;
