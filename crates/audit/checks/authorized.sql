-- Payment by payment: what is open is never less than nothing, and nothing where the payment or the order has ended. An order that was paid before it was
-- placed, and is out of stock, may end while its money is on its way back.
with judged as (
    select p.order_id, p.state, p.authorized, p.captured, p.voided, p.released_remainder, open,
           open < 0 or open > 0 and (o.ended_at is not null and not is_returning or p.state not in ('AUTHORIZED', 'CAPTURING', 'LAPSED', 'VOIDING')) as breach
      from payments.payment p
     cross join lateral (select p.authorized - p.captured - p.voided - p.released_remainder as open,
                                p.state = 'VOIDING' and p.data::jsonb ? 'settlement' as is_returning) held
      left join orders."order" o using (order_id)
     where p.order_id >= $1 and p.order_id < $2 or p.order_id = any($3)
)
select count(*) filter (where breach),
       format('%s authorized = %s captured + %s voided + %s released remainder + %s open', coalesce(sum(authorized), 0), coalesce(sum(captured), 0),
              coalesce(sum(voided), 0), coalesce(sum(released_remainder), 0), coalesce(sum(open), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('%s: %s authorized, of which %s captured, %s voided, %s released as remainder: %s are open', state, authorized, captured, voided,
                  released_remainder, open))) filter (where breach))[1:200])
  from judged
