-- Level by level: units set aside, and units of allocations that open orders hold.
with held as (
    select h.sku, h.warehouse, sum(coalesce(h.reserved, 0)) as reserved
      from inventory.reservation r, jsonb_to_recordset(r.data::jsonb -> 'holdings') as h (sku text, warehouse text, reserved bigint)
     where r.state in ('reserved', 'held')
     group by h.sku, h.warehouse
), judged as (
    select sku, warehouse, coalesce(l.reserved, 0) as level, coalesce(held.reserved, 0) as orders
      from inventory.stock_level l full join held using (sku, warehouse)
)
select count(*) filter (where level <> orders),
       format('%s units in levels, %s in orders', coalesce(sum(level), 0), coalesce(sum(orders), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', sku || '/' || warehouse, 'detail',
           format('%s units are reserved, open orders hold %s', level, orders))) filter (where level <> orders))[1:200])
  from judged
