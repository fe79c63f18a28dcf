-- Returns of what shipped, beside the saga (ADR 32). The order's consignment guards them all: both change in one transaction.
create table fulfillment.customer_return (
    return_id  uuid        primary key, -- derived from the order and the key under which it was announced
    order_id   uuid        not null,
    version    bigint      not null,    -- counts the changes; a save that does not find its predecessor is a lost race
    state      text        not null check (state in ('ANNOUNCED', 'RECEIVED', 'REFUSED')),
    received   bigint      not null check (received >= 0), -- units that came
    data       text        not null,    -- the units by line and warehouse, why, who announced and received or refused it, and when
    created_at timestamptz not null,
    updated_at timestamptz not null
) with (fillfactor = 50);
alter table fulfillment.customer_return alter column data set statistics 0;
create index customer_return_order on fulfillment.customer_return (order_id);
