-- Order by order, where no call is under way: what payments believes, and what the gateway did.
with book as (
    select order_id, sum(captured)::bigint as captured, sum(refunded)::bigint as refunded from sandbox.payment group by order_id
)
select count(*) filter (where (coalesce(book.captured, 0), coalesce(book.refunded, 0)) is distinct from (p.captured, p.refunded)),
       format('%s captured and %s refunded by payments, %s and %s by the gateway', coalesce(sum(p.captured), 0), coalesce(sum(p.refunded), 0),
              coalesce(sum(book.captured), 0), coalesce(sum(book.refunded), 0))
  from book left join payments.payment p using (order_id)
 where p.state is null or p.state not in ('CAPTURING', 'REFUNDING')
