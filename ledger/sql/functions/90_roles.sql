-- Who may do what. Logins are members of exactly one of these; nobody but the owner writes a table.

do $$
declare v_role text;
begin
  foreach v_role in array array['creditd_watcher', 'creditd_api', 'creditd_operator', 'creditd_reader'] loop
    if not exists (select from pg_roles where rolname = v_role) then
      begin
        execute format('create role %I nologin', v_role);
        -- Who migrates with less than a superuser's rights may act as the roles it has just made.
        execute format('grant %I to current_user', v_role);
      exception when duplicate_object or unique_violation then
        raise notice 'role % was made by another migration just now', v_role;
      end;
    end if;
  end loop;
end $$;

revoke all on schema creditd from public;
revoke all on all tables in schema creditd from public, creditd_watcher, creditd_api, creditd_operator, creditd_reader;
revoke all on all functions in schema creditd from public, creditd_watcher, creditd_api, creditd_operator, creditd_reader;
grant usage on schema creditd to creditd_watcher, creditd_api, creditd_operator, creditd_reader;

grant select on all tables in schema creditd to creditd_watcher, creditd_api, creditd_operator, creditd_reader;
-- Digests of API keys are for who checks keys.
revoke select on creditd.api_key from creditd_watcher, creditd_reader;
-- So are those of sessions, and of what is to be signed.
revoke select on creditd.sign_in, creditd.challenge from creditd_watcher, creditd_reader;

grant execute on function creditd.release_digest to creditd_watcher, creditd_api, creditd_operator, creditd_reader;
-- An audit recomputes; these read nothing and write nothing.
grant execute on function creditd.first_hash, creditd.entry_hash, creditd.event_cause to creditd_operator, creditd_reader;
grant execute on function
  creditd.lead_chain, creditd.enter_rule, creditd.leave_rules, creditd.note_total, creditd.note_balances, creditd.note_asked, creditd.enter_blocks, creditd.append_blocks, creditd.see_events, creditd.let_events_wait, creditd.set_logs_aside,
  creditd.confirm_blocks, creditd.drop_blocks, creditd.reverse_blocks, creditd.halt_chain, creditd.resume_chain,
  creditd.see_head, creditd.expire_idle
  to creditd_watcher;
grant execute on function
  creditd.charge_batch, creditd.refund, creditd.open_account, creditd.open_wallet_account
  to creditd_api;
grant execute on function creditd.create_api_key, creditd.rotate_api_key, creditd.revoke_api_key to creditd_operator;
grant execute on function creditd.create_own_api_key, creditd.rotate_own_api_key, creditd.revoke_own_api_key to creditd_api;
grant execute on function creditd.caps_of to creditd_api, creditd_operator;
grant execute on function creditd.apply_prices to creditd_operator;
grant execute on function
  creditd.unlink_wallet, creditd.open_organisation, creditd.add_member, creditd.remove_member,
  creditd.move_member, creditd.set_budget, creditd.allocate
  to creditd_api;
grant execute on function
  creditd.adjust, creditd.take_back_grant, creditd.attest_link, creditd.end_link, creditd.set_frozen,
  creditd.note_replay
  to creditd_operator;
grant execute on function creditd.give_consent, creditd.withdraw_consent to creditd_api, creditd_operator;
grant execute on function creditd.set_overdraft to creditd_operator;
grant execute on function
  creditd.enter_receivers, creditd.lead_receiver, creditd.due_messages, creditd.next_message_in,
  creditd.end_messages, creditd.tidy_messages
  to creditd_watcher;
grant execute on function creditd.retry_dead, creditd.accept_reorg, creditd.note_audit to creditd_operator;
grant execute on function creditd.alarms to creditd_watcher, creditd_api, creditd_operator, creditd_reader;
grant execute on function creditd.tell_alarms, creditd.note_watch to creditd_watcher;
grant execute on function
  creditd.admit_late, creditd.set_late_aside, creditd.enter_late_rule, creditd.follow_late_to, creditd.rewind_chain,
  creditd.note_reread
  to creditd_watcher;
grant execute on function creditd.set_alert to creditd_api, creditd_operator;
grant execute on function creditd.pending_of, creditd.expected_at, creditd.usage_of, creditd.entries_before
  to creditd_api, creditd_operator, creditd_reader;
grant execute on function creditd.balance_as_of, creditd.budgets_of to creditd_api, creditd_operator, creditd_reader;
grant execute on function creditd.grant_credits to creditd_operator;
grant execute on function creditd.exposure, creditd.lots_of to creditd_operator, creditd_reader;
grant execute on function
  creditd.enter_challenge, creditd.try_challenge, creditd.sign_in, creditd.signed_in, creditd.sign_out,
  creditd.sign_out_all, creditd.link_by_signature
  to creditd_api;
grant execute on function
  creditd.reserve, creditd.settle, creditd.settle_units, creditd.release, creditd.extend, creditd.quote
  to creditd_api;
grant execute on function creditd.expire_reservations to creditd_watcher;
