-- Causes of grants ----------------------------------------------------------------------------------

-- What was granted because of a charge (cashback and the like), over all its grants.
create table creditd.charge_cause (
  root_id    bigint not null,   -- the charge's
  account_id bigint not null,
  seq        bigint not null,
  granted    bigint not null,
  constraint charge_cause_pkey primary key (root_id, account_id, seq),
  constraint charge_cause_is_never_negative check (granted >= 0)
);
