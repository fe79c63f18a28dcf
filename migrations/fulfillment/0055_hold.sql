-- A parcel whose payment is disputed stays in the house (ADR 33): its warehouse sees it as held.
alter table fulfillment.task drop constraint task_step_check;
alter table fulfillment.task add constraint task_step_check check (step in ('pick', 'hand_over', 'hold', 'recall', 'put_back'));
