-- Ended order by ended order, in minor units: the money kept, what the terminal event says, and the value of the units that it lists, computed anew.
-- What of the saga's refund disputes, or refunds made at the provider, had taken first counts as given back. A refund that failed after the order's end is a
-- person's case, and not compared.
with line as (
    select o.order_id, l.line_id, l.amount, l.quantity,
           coalesce((select sum(s.quantity) from jsonb_to_recordset(o.ending::jsonb -> 'shipped') as s (line_id text, quantity bigint)
                      where s.line_id = l.line_id), 0) as shipped
      from orders."order" o, jsonb_to_recordset(o.details::jsonb -> 'terms' -> 'lines') as l (line_id text, amount bigint, quantity bigint)
     where o.ended_at is not null and (o.order_id >= $1 and o.order_id < $2 or o.order_id = any($3))
), worth as (
    select order_id, sum(div(amount::numeric * shipped, quantity)) as value from line group by order_id
), judged as (
    select o.order_id, o.state, p.captured, p.refunded + p.refund_shortfall as refunded, o.charged, worth.value,
           coalesce(p.captured - p.refunded - p.refund_shortfall, 0) is distinct from o.charged and coalesce(p.state, '') not in ('REFUNDING', 'VOIDING')
               or worth.value is distinct from o.charged as breach
      from orders."order" o
      left join payments.payment p using (order_id)
      left join worth using (order_id)
     where o.ended_at is not null and o.state <> 'REJECTED' and (o.order_id >= $1 and o.order_id < $2 or o.order_id = any($3))
)
select count(*) filter (where breach),
       format('%s captured − %s refunded, %s charged, %s shipped', coalesce(sum(captured), 0), coalesce(sum(refunded), 0),
              coalesce(sum(charged), 0), coalesce(sum(value), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('%s: captured %s − refunded %s, charged %s by its terminal event, worth of what shipped %s', state, coalesce(captured, 0),
                  coalesce(refunded, 0), charged, value))) filter (where breach))[1:200])
  from judged
