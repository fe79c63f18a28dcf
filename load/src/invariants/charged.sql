-- Ended order by ended order, in minor units: the money kept, what the terminal event says, and the value of the units that it lists, computed anew.
with line as (
    select o.order_id, l.line_id, l.amount, l.quantity,
           coalesce((select sum(s.quantity) from jsonb_to_recordset(o.ending::jsonb -> 'shipped') as s (line_id text, quantity bigint)
                      where s.line_id = l.line_id), 0) as shipped
      from orders."order" o, jsonb_to_recordset(o.details::jsonb -> 'terms' -> 'lines') as l (line_id text, amount bigint, quantity bigint)
     where o.ended_at is not null
), worth as (
    select order_id, sum(div(amount::numeric * shipped, quantity)) as value from line group by order_id
)
select count(*) filter (where coalesce(p.captured - p.refunded, 0) is distinct from o.charged or worth.value is distinct from o.charged),
       format('%s captured − %s refunded, %s charged, %s shipped', coalesce(sum(p.captured), 0), coalesce(sum(p.refunded), 0),
              coalesce(sum(o.charged), 0), coalesce(sum(worth.value), 0))
  from orders."order" o
  left join payments.payment p using (order_id)
  left join worth using (order_id)
 where o.ended_at is not null and o.state <> 'REJECTED'
