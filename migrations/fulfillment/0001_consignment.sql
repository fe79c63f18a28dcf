-- What fulfillment knows of each order, and the work lists of real warehouses.
create schema if not exists fulfillment;
select runtime.furnish('fulfillment');

-- One row per order, also for one that was stopped before it came here (a tombstone: closed, without shipments).
create table fulfillment.consignment (
    order_id         uuid        primary key,
    state            text        not null check (state in ('picking', 'confirmed', 'released', 'closed')),
    version          bigint      not null,           -- counts the changes; a save that does not find its predecessor is a lost race
    units_dispatched bigint      not null default 0, -- units handed over to carriers: what inventory commits in the end
    data             jsonb       not null,           -- shipments with their picking lists and answers, deadlines, the order's thread
    personal_key     text,                           -- the key that personal_data is encrypted with; empty: not encrypted
    personal_data    bytea,                          -- names, addresses and contact, sealed; null for a tombstone, or once it was erased
    created_at       timestamptz not null,
    updated_at       timestamptz not null
) with (fillfactor = 50);

-- What a real warehouse has to do next, one row per shipment that waits for it; the built-in warehouse needs none.
create table fulfillment.task (
    shipment_id uuid        primary key,
    order_id    uuid        not null,
    warehouse   text        not null,
    step        text        not null check (step in ('pick', 'hand_over', 'recall', 'put_back')),
    due_at      timestamptz not null -- until when it should be done; lists are in this order
) with (fillfactor = 70);

create index task_by_warehouse on fulfillment.task (warehouse, due_at, shipment_id);
