-- Level by level: units set aside, and units of allocations that open orders hold.
with held as (
    select h.sku, h.warehouse, sum(coalesce(h.reserved, 0)) as reserved
      from inventory.reservation r, jsonb_to_recordset(r.data::jsonb -> 'holdings') as h (sku text, warehouse text, reserved bigint)
     where r.state in ('reserved', 'held')
     group by h.sku, h.warehouse
)
select count(*) filter (where coalesce(l.reserved, 0) <> coalesce(held.reserved, 0)),
       format('%s units in levels, %s in orders', coalesce(sum(l.reserved), 0), coalesce(sum(held.reserved), 0))
  from inventory.stock_level l full join held using (sku, warehouse)
