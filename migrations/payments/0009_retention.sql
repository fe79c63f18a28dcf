-- Refunds are few: they are found by their order when it is forgotten, and those that no order was ever known of by having none.
create index refund_order on payments.refund (order_id);
