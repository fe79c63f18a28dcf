-- By the gateway's own book: successful captures, and payments that money was taken from.
with charge as (
    select order_id, count(*) as captures, count(distinct payment_id) as payments
      from sandbox.operation where operation = 'capture' and answer::jsonb ->> 'outcome' = 'captured' group by order_id
)
select count(*) filter (where captures > 1 or payments > 1), format('%s charges of %s orders', coalesce(sum(captures), 0), count(*)) from charge
