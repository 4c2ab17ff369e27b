/** The end of an alert never comes before its beginning: what still waits to say that it fires says that it fired, once it is over. */

import type { Transaction } from '#platform/db/database.ts';
import type { ChannelEntry } from '../channel-registry.ts';
import { type AlertNotice, isOver, type Message, type ToldAlert } from '../message.ts';
import type { DeliveryRow } from '../migrations.ts';
import { messageOfRow, rewrite, waitingAbout } from './deliveries.ts';
import { findRecord } from './told-alerts.ts';

type Destination = Pick<ChannelEntry, 'id' | 'title'>;

/** Takes an alert that is over out of all that waits to tell of it as firing.
 *  @returns whether there was any */
export async function takeBeginningsOut(
  tx: Transaction,
  channel: Destination,
  fingerprint: string,
  isInFlight: (deliveryId: string) => boolean,
): Promise<boolean> {
  let isAny = false;
  for (const row of await waitingAbout(tx, channel.id, fingerprint)) {
    if (isInFlight(row.id)) continue;
    const { alerts } = messageOfRow(row);
    const left = alerts.filter(({ kind, notice }) => notice.fingerprint !== fingerprint || isOver(kind));
    if (left.length === alerts.length) continue;
    isAny = true;
    await rewrite(tx, row, left, channel.title);
  }
  return isAny;
}

/** A message was not taken, and while it was under way some of its alerts ended: their ends, which wait behind it, now tell the whole.
 *  @param row as it is after the attempt; when it was given up nobody heard of the beginning, so nobody hears of the end */
export async function foldEnds(tx: Transaction, row: DeliveryRow, channel: Destination): Promise<void> {
  const { alerts } = messageOfRow(row);
  const ended = new Set<string>();
  for (const { kind, notice } of alerts) {
    if (isOver(kind)) continue;
    for (const later of await waitingAbout(tx, channel.id, notice.fingerprint)) {
      if (later.id === row.id) continue;
      const isItsEnd = (one: ToldAlert) =>
        one.kind === 'resolved' &&
        one.notice.fingerprint === notice.fingerprint &&
        one.notice.episode >= notice.episode;
      const said = messageOfRow(later).alerts;
      if (!said.some(isItsEnd)) continue;
      ended.add(notice.fingerprint);
      const left = said.flatMap((one): ToldAlert[] => {
        if (!isItsEnd(one)) return [one];
        return row.state === 'dead' ? [] : [{ ...one, kind: 'was_firing' }];
      });
      await rewrite(tx, later, left, channel.title);
    }
  }
  if (ended.size === 0 || row.state !== 'waiting') return;
  await rewrite(
    tx,
    row,
    alerts.filter(({ kind, notice }) => isOver(kind) || !ended.has(notice.fingerprint)),
    channel.title,
  );
}

/** What a message that was given up says when it is sent after all. @returns null when nothing in it ended since */
export async function alertsAsTheyAre(tx: Transaction, { alerts }: Message): Promise<readonly ToldAlert[] | null> {
  const now: ToldAlert[] = [];
  for (const alert of alerts) {
    const record = await findRecord(tx, alert.notice.fingerprint);
    const isSame = record?.notice.episode === alert.notice.episode;
    if (isOver(alert.kind) || (isSame && record.isFiring)) now.push(alert);
    else now.push({ kind: 'was_firing', notice: isSame ? endOf(alert.notice, record.notice) : alert.notice });
  }
  return now.every((alert, index) => alert.kind === alerts[index]?.kind) ? null : now;
}

const endOf = (begun: AlertNotice, ended: AlertNotice): AlertNotice => ({ ...begun, endedAtMs: ended.endedAtMs });
