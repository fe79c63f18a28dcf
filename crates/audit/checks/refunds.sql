-- Payment by payment: the sums of its refunds to the customer are those of their rows, and with the saga's refund no more than was captured.
with row as (
    select order_id, coalesce(sum(amount) filter (where state in ('REQUESTED', 'REFUNDING', 'PENDING')), 0)::bigint as open,
           coalesce(sum(amount) filter (where state = 'REFUNDED'), 0)::bigint as done
      from payments.customer_refund where order_id >= $1 and order_id < $2 or order_id = any($3) group by order_id
), judged as (
    select p.order_id, p.captured, p.refunded, p.refunds_open, p.refunds_done, coalesce(row.open, 0) as open, coalesce(row.done, 0) as done,
           (p.refunds_open, p.refunds_done) is distinct from (coalesce(row.open, 0), coalesce(row.done, 0))
               or p.refunded + p.refunds_open + p.refunds_done > p.captured as breach
      from payments.payment p left join row using (order_id)
     where p.order_id >= $1 and p.order_id < $2 or p.order_id = any($3)
)
select count(*) filter (where breach),
       format('%s refunded to customers, %s under way', coalesce(sum(refunds_done), 0), coalesce(sum(refunds_open), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('captured %s, refunded by the saga %s, to the customer %s and %s under way; its refunds come to %s and %s', captured, refunded,
                  refunds_done, refunds_open, done, open))) filter (where breach))[1:200])
  from judged
