-- What inventory keeps of orders and movements that it forgot: sums, so that the ledger still explains every level, for ever.

-- Old movements of a level, by kind: what they added to each column of the level, summed up.
create table inventory.opening (
    sku       text        not null,
    warehouse text        not null,
    kind      text        not null,
    on_hand   bigint      not null,
    reserved  bigint      not null,
    missing   bigint      not null,
    movements bigint      not null, -- how many they were
    moved_at  timestamptz not null, -- when the last of them was
    primary key (sku, warehouse, kind)
) with (fillfactor = 50);

-- Old orders: how many they were, and how many units left with them.
create table inventory.forgotten (
    only_row  boolean primary key default true check (only_row),
    orders    bigint  not null,
    committed bigint  not null
);
insert into inventory.forgotten (orders, committed) values (0, 0);

-- The whole ledger: what an audit sums up.
create view inventory.ledger as
select sku, warehouse, kind, on_hand, reserved, missing from inventory.opening
union all
select sku, warehouse, kind, on_hand, reserved, missing from inventory.movement;

create or replace view inventory.unexplained as
select sku, warehouse,
       coalesce(l.on_hand, 0) - coalesce(m.on_hand, 0)   as on_hand,
       coalesce(l.reserved, 0) - coalesce(m.reserved, 0) as reserved,
       coalesce(l.missing, 0) - coalesce(m.missing, 0)   as missing
  from inventory.stock_level l
  full join (select sku, warehouse, sum(on_hand) as on_hand, sum(reserved) as reserved, sum(missing) as missing
               from inventory.ledger group by sku, warehouse) m using (sku, warehouse)
 where (coalesce(l.on_hand, 0), coalesce(l.reserved, 0), coalesce(l.missing, 0))
    is distinct from (coalesce(m.on_hand, 0), coalesce(m.reserved, 0), coalesce(m.missing, 0));

-- Deliveries are few: their age may be indexed.
create index receipt_received on inventory.receipt (received_at);
