-- Disputes, and refunds made at the provider (ADR 33). Each dispute is in `data`; `disputed` is what they have withdrawn.
alter table payments.payment
    add column disputed bigint not null default 0,         -- withdrawn by disputes, and not reinstated
    add column refund_shortfall bigint not null default 0, -- of the saga's refund, what disputes or refunds at the provider had taken first
    add check (disputed >= 0 and refund_shortfall >= 0);

-- What a provider tells comes in any order, and banks and people act on their own: for a while more may be back than was taken. The audit says so.
do $$
declare bound name;
begin
    for bound in select conname from pg_constraint
                  where conrelid = 'payments.payment'::regclass and contype = 'c' and pg_get_constraintdef(oid) like '%refunds_open%' loop
        execute format('alter table payments.payment drop constraint %I', bound);
    end loop;
end $$;
alter table payments.payment add check (refunds_open >= 0 and refunds_done >= 0);
