-- Order by order: units that fulfillment handed over, inventory committed, and the terminal event told of. While events are on their way ($4 is
-- false) an open order's parcel may have left before inventory knows of it.
with told as (
    select order_id, ended_at, state,
           coalesce((select sum(s.quantity) from jsonb_to_recordset(ending::jsonb -> 'shipped') as s (quantity bigint)), 0) as units
      from orders."order" where order_id >= $1 and order_id < $2 or order_id = any($3)
), judged as (
    select told.order_id, told.state, coalesce(c.units_dispatched, 0) as left_house, coalesce(r.committed, 0) as committed, told.units,
           (told.ended_at is not null or $4) and coalesce(c.units_dispatched, 0) <> coalesce(r.committed, 0)
           or told.ended_at is not null and told.units <> coalesce(r.committed, 0)
           or (told.state = 'COMPLETED') <> (told.units > 0) as breach
      from told
      left join inventory.reservation r using (order_id)
      left join fulfillment.consignment c using (order_id)
)
select count(*) filter (where breach),
       format('%s units handed over, %s committed, %s told', coalesce(sum(left_house), 0), coalesce(sum(committed), 0), coalesce(sum(units), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('%s: %s units handed over, %s committed, %s told by its terminal event', state, left_house, committed, units)))
           filter (where breach))[1:200])
  from judged
