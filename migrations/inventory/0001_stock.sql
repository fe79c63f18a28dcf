-- Stock by SKU and warehouse, what each order holds of it, and the ledger of every change.
create schema if not exists inventory;
select runtime.furnish('inventory');

-- Where stock lies.
create table inventory.warehouse (
    warehouse text   primary key,
    name      text   not null,
    priority  bigint not null, -- 1 is taken from first
    country   text   not null  -- ISO 3166-1 alpha-2; empty: not known
);

-- The level of one SKU in one warehouse, locked in the order (sku, warehouse), after the orders' rows.
-- No index but the key, and room on each page: a busy level is rewritten many times a second, and stays on its page.
create table inventory.stock_level (
    sku       text   not null,
    warehouse text   not null references inventory.warehouse,
    on_hand   bigint not null, -- units in the building, reserved ones included, missing ones not
    reserved  bigint not null, -- units held for orders
    missing   bigint not null, -- units that should be there and were not found: not on sale until counted
    version   bigint not null, -- counts the changes; a save that does not find its predecessor is a lost race
    aisle     text,            -- where in the warehouse, if it is mapped
    bin       text,            -- where in the aisle, if it is mapped
    primary key (sku, warehouse),
    constraint stock_level_available check (reserved >= 0 and on_hand >= reserved),
    constraint stock_level_missing check (missing >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);

-- One row per order, also for one that was stopped before it came here (a tombstone: closed, and never held anything).
create table inventory.reservation (
    order_id   uuid        primary key,
    state      text        not null check (state in ('reserved', 'held', 'closed', 'rejected')),
    version    bigint      not null, -- counts the changes; a save that does not find its predecessor is a lost race
    -- Units by what became of them; they sum up to all that was ever allocated to the order, replacements included.
    reserved   bigint      not null,
    committed  bigint      not null, -- left with a shipment
    released   bigint      not null, -- back on sale
    missing    bigint      not null, -- gone
    expires_at timestamptz,          -- when the reservation's clock fires; null if nothing was ever reserved
    changed_at timestamptz not null,
    data       jsonb       not null, -- the allocations, the shipments that were answered, and the order's thread
    constraint reservation_ended check (state in ('reserved', 'held') or reserved = 0),
    constraint reservation_units check (reserved >= 0 and committed >= 0 and released >= 0 and missing >= 0)
) with (fillfactor = 50);

-- Every change of every level, only ever appended to: the sum over it is the level.
create table inventory.movement (
    movement_id bigint      generated always as identity primary key,
    sku         text        not null,
    warehouse   text        not null,
    kind        text        not null check (kind in ('received', 'counted', 'found', 'reserved', 'released', 'committed', 'missing')),
    on_hand     bigint      not null, -- what it added to each column of the level
    reserved    bigint      not null,
    missing     bigint      not null,
    order_id    uuid,                 -- whose units; null if it was no order's doing
    cause_id    uuid        not null, -- the event, or the request at a door, that brought it
    moved_at    timestamptz not null
);

-- Deliveries that were booked: the same one again changes nothing.
create table inventory.receipt (
    reference   text        not null, -- of the delivery, as its warehouse names it
    sku         text        not null,
    warehouse   text        not null,
    quantity    bigint      not null check (quantity > 0),
    received_at timestamptz not null,
    primary key (reference, sku, warehouse)
);

-- Levels that the ledger does not explain. Empty, or stock was changed by another hand: an audit asks for it.
create view inventory.unexplained as
select sku, warehouse,
       coalesce(l.on_hand, 0) - coalesce(m.on_hand, 0)   as on_hand,
       coalesce(l.reserved, 0) - coalesce(m.reserved, 0) as reserved,
       coalesce(l.missing, 0) - coalesce(m.missing, 0)   as missing
  from inventory.stock_level l
  full join (select sku, warehouse, sum(on_hand) as on_hand, sum(reserved) as reserved, sum(missing) as missing
               from inventory.movement group by sku, warehouse) m using (sku, warehouse)
 where (coalesce(l.on_hand, 0), coalesce(l.reserved, 0), coalesce(l.missing, 0))
    is distinct from (coalesce(m.on_hand, 0), coalesce(m.reserved, 0), coalesce(m.missing, 0));
