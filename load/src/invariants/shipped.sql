-- Order by order: units that fulfillment handed over, inventory committed, and the terminal event told of.
with told as (
    select order_id, ended_at, state,
           coalesce((select sum(s.quantity) from jsonb_to_recordset(ending::jsonb -> 'shipped') as s (quantity bigint)), 0) as units
      from orders."order"
)
select count(*) filter (where coalesce(c.units_dispatched, 0) <> coalesce(r.committed, 0)
                           or told.ended_at is not null and told.units <> coalesce(r.committed, 0)
                           or (told.state = 'COMPLETED') <> (told.units > 0)),
       format('%s units handed over, %s committed, %s told', coalesce(sum(c.units_dispatched), 0), coalesce(sum(r.committed), 0), coalesce(sum(told.units), 0))
  from told
  left join inventory.reservation r using (order_id)
  left join fulfillment.consignment c using (order_id)
