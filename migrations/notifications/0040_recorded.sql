-- A message is RECORDED until a channel is connected that sends it. What stands as SENT from before was recorded as well: nothing was ever sent.
-- Not validated: every row that there is fits.
alter table notifications.message drop constraint message_state_check;
alter table notifications.message add constraint message_state_check check (state in ('SENT', 'RECORDED', 'FAILED')) not valid;
