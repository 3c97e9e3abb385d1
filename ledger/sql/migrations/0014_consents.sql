-- Whose owner lets which app act for an account, since when, and until when. An app needs none for what it
-- opened under a name of its own, and for members of its organisations.
create table creditd.consent (
  root_id      bigint not null,
  account_id   bigint not null,
  consent_no   integer not null,
  app_id       integer not null constraint consent_is_for_an_app references creditd.app,
  may_spend    boolean not null,      -- else it only reads
  given_by     text not null,
  given_at     timestamptz not null,
  withdrawn_by text,
  withdrawn_at timestamptz,
  constraint consent_pkey primary key (root_id, account_id, consent_no),
  constraint consent_is_signed check (length(given_by) between 1 and 100 and length(withdrawn_by) between 1 and 100),
  constraint consent_is_withdrawn_whole check (num_nulls(withdrawn_by, withdrawn_at) in (0, 2))
);
create unique index consent_stands_once on creditd.consent (root_id, account_id, app_id) where withdrawn_at is null;
create index consent_by_app on creditd.consent (app_id, root_id, account_id) where withdrawn_at is null;

-- What apps said of wallets until now was their word alone.
insert into creditd.consent (root_id, account_id, consent_no, app_id, may_spend, given_by, given_at)
  select x.root_id, x.account_id, row_number() over (partition by x.root_id, x.account_id order by x.created_at, x.app_id),
    x.app_id, true, 'the app''s own word', x.created_at
  from creditd.account_access x join creditd.account a using (root_id, account_id)
  where a.kind = 'wallet';
