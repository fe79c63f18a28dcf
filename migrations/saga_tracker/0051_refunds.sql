-- Refunds to customers: one row for each, folded as shipments are.
create table saga_tracker.refund (
    order_id     uuid        not null,
    refund_id    uuid        not null,
    amount       bigint,              -- in minor units of the order's currency
    request      text,                -- JSON: the event by which it was asked for
    requested_at timestamptz,
    completed_at timestamptz,
    failed_at    timestamptz,         -- the last refusal; one that was tried again may be completed later
    detail       text,                -- what the gateway said then
    primary key (order_id, refund_id)
) with (fillfactor = 70);

create index refund_open on saga_tracker.refund (requested_at) where completed_at is null;
