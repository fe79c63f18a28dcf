-- Disputes of payments: one row for each, folded as refunds are; the latest word on it counts.
create table saga_tracker.dispute (
    order_id   uuid        not null,
    dispute_id text        not null, -- the gateway's id of it
    opened_at  timestamptz,          -- when it was first told of
    changed_at timestamptz,
    closed     boolean     not null,
    told       text        not null, -- JSON: the latest PaymentDisputed or DisputeClosed
    primary key (order_id, dispute_id)
) with (fillfactor = 70);
create index dispute_open on saga_tracker.dispute (changed_at) where not closed;
create index dispute_closed on saga_tracker.dispute (changed_at) where closed;

-- A refund may fail after it was completed: the later of the two counts.
drop index saga_tracker.refund_open;
create index refund_open on saga_tracker.refund (requested_at) where completed_at is null or failed_at >= completed_at;
