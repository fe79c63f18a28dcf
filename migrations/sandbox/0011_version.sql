-- Counts the changes of a payment: who read it without a lock writes it at the version that was read, or not at all.
alter table sandbox.payment add column version bigint not null default 1;
