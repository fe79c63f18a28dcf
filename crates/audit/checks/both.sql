-- No order is both given up and shipped.
with judged as (
    select o.order_id, o.state, c.units_dispatched as units, o.state in ('REJECTED', 'CANCELLED', 'FAILED') and c.units_dispatched > 0 as breach
      from orders."order" o join fulfillment.consignment c using (order_id)
     where o.order_id >= $1 and o.order_id < $2 or o.order_id = any($3)
)
select count(*) filter (where breach),
       format('%s orders reached a warehouse, %s of them shipped', count(*), count(*) filter (where units > 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail', format('%s, and %s units left', state, units)))
           filter (where breach))[1:200])
  from judged
