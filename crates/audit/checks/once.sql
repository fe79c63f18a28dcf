-- By the gateway's own book: successful captures, and payments that money was taken from.
with charge as (
    select order_id, count(*) as captures, count(distinct payment_id) as payments
      from sandbox.operation where operation = 'capture' and answer::jsonb ->> 'outcome' = 'captured'
       and (order_id >= $1 and order_id < $2 or order_id = any($3)) group by order_id
), judged as (select *, captures > 1 or payments > 1 as breach from charge)
select count(*) filter (where breach), format('%s charges of %s orders', coalesce(sum(captures), 0), count(*)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('%s successful captures on %s payments', captures, payments))) filter (where breach))[1:200])
  from judged
