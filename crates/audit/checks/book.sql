-- Order by order, where no call is under way: what payments believes, and what the gateway did.
with book as (
    select order_id, sum(captured)::bigint as captured, sum(refunded)::bigint as refunded from sandbox.payment
     where order_id >= $1 and order_id < $2 or order_id = any($3) group by order_id
), judged as (
    select book.order_id, p.captured, p.refunded + p.refunds_done as refunded, book.captured as taken, book.refunded as returned,
           (book.captured, book.refunded) is distinct from (p.captured, p.refunded + p.refunds_done) as breach
      from book left join payments.payment p using (order_id)
     where p.state is null or p.state not in ('CAPTURING', 'REFUNDING') and p.refunds_open = 0
)
select count(*) filter (where breach),
       format('%s captured and %s refunded by payments, %s and %s by the gateway', coalesce(sum(captured), 0), coalesce(sum(refunded), 0),
              coalesce(sum(taken), 0), coalesce(sum(returned), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('payments says %s captured and %s refunded, the gateway %s and %s', captured, refunded, taken, returned)))
           filter (where breach))[1:200])
  from judged
