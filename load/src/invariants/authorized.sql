-- Payment by payment: what is open is never less than nothing, and nothing where the payment or the order has ended.
with payment as (
    select p.*, p.authorized - p.captured - p.voided - p.released_remainder as open, o.ended_at
      from payments.payment p left join orders."order" o using (order_id)
)
select count(*) filter (where open < 0 or open > 0 and (ended_at is not null or state not in ('AUTHORIZED', 'CAPTURING', 'LAPSED', 'VOIDING'))),
       format('%s authorized = %s captured + %s voided + %s released remainder + %s open', coalesce(sum(authorized), 0), coalesce(sum(captured), 0),
              coalesce(sum(voided), 0), coalesce(sum(released_remainder), 0), coalesce(sum(open), 0))
  from payment
