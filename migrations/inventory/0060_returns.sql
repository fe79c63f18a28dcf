-- Returns of what shipped (ADR 32): units that are in the house again.
alter table inventory.movement drop constraint movement_kind_check;
-- Every row had one of the former kinds: none need be looked at.
alter table inventory.movement add constraint movement_kind_check check (kind in
    ('received', 'counted', 'found', 'reserved', 'released', 'committed', 'missing', 'returned', 'returned_damaged')) not valid;
-- Of the units that left with the order's shipments, those that came back.
alter table inventory.reservation add column returned bigint not null default 0 check (returned >= 0);
alter table inventory.forgotten add column returned bigint not null default 0;
