-- Refunds are few: they are found by their payment when it is forgotten.
create index refund_payment on sandbox.refund (payment_id);
