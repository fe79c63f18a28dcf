-- Payment by payment: the sums of its refunds to the customer are those of their rows, and with the saga's refund and what disputes have withdrawn no more than was
-- captured. Refunds that are under way count where nobody but us gives anything back: else one of them is about to be refused.
with row as (
    select order_id, coalesce(sum(amount) filter (where state in ('REQUESTED', 'REFUNDING', 'PENDING')), 0)::bigint as open,
           coalesce(sum(amount) filter (where state = 'REFUNDED'), 0)::bigint as done, bool_or(data like '%"asked":"outside"%') as outside
      from payments.customer_refund where order_id >= $1 and order_id < $2 or order_id = any($3) group by order_id
), judged as (
    select p.order_id, p.captured, p.refunded, p.refunds_open, p.refunds_done, p.disputed, coalesce(row.open, 0) as open, coalesce(row.done, 0) as done,
           (p.refunds_open, p.refunds_done) is distinct from (coalesce(row.open, 0), coalesce(row.done, 0))
               or p.state in ('CAPTURED', 'REFUNDING', 'REFUNDED') and p.refunded + p.refunds_done + p.disputed
                  + case when row.outside or p.disputed > 0 then 0 else p.refunds_open end > p.captured as breach
      from payments.payment p left join row using (order_id)
     where p.order_id >= $1 and p.order_id < $2 or p.order_id = any($3)
)
select count(*) filter (where breach),
       format('%s refunded to customers, %s under way, %s disputed', coalesce(sum(refunds_done), 0), coalesce(sum(refunds_open), 0),
              coalesce(sum(disputed), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('captured %s, refunded by the saga %s, to the customer %s and %s under way, disputed %s; its refunds come to %s and %s', captured, refunded,
                  refunds_done, refunds_open, disputed, done, open))) filter (where breach))[1:200])
  from judged
