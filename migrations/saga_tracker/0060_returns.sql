-- Returns of what shipped: one row for each, folded as refunds are.
create table saga_tracker.customer_return (
    order_id     uuid        not null,
    return_id    uuid        not null,
    announced    text,                -- JSON: the event that announced it
    announced_at timestamptz,
    received     text,                -- JSON: the event that received it
    received_at  timestamptz,
    refused      text,                -- why it was not taken back
    refused_at   timestamptz,
    stocked_at   timestamptz,         -- when its units were in stock again
    primary key (order_id, return_id)
) with (fillfactor = 70);

-- Which order an exchange is for.
alter table saga_tracker."order" add column exchange_for uuid;
create index order_exchange on saga_tracker."order" (exchange_for) where exchange_for is not null;
