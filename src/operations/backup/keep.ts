import type { Policy } from './settings.js'

/**
 * Why a point is kept: `last`, or the day, week or month that it is the newest point of; `no policy`: nothing says
 * which points go, and so none does.
 */
export type KeepReason = 'last' | `day ${string}` | `week ${string}` | `month ${string}` | 'no policy'

/**
 * The points that a policy keeps, and why.
 * @param times of the points, as `2026-11-30T041500Z`, in any order. The newest is kept whatever the policy says.
 */
export function keptPoints(times: readonly string[], policy: Policy): ReadonlyMap<string, readonly KeepReason[]> {
  const newestFirst = [...times].sort().reverse()
  const kept = new Map<string, KeepReason[]>()
  const keep = (time: string, reason: KeepReason): void => {
    const reasons = kept.get(time)
    if (reasons === undefined) kept.set(time, [reason])
    else reasons.push(reason)
  }
  if (!isPolicy(policy)) for (const time of newestFirst) keep(time, 'no policy')
  else for (const time of newestFirst.slice(0, Math.max(1, policy.keepLast ?? 0))) keep(time, 'last')
  const each = (count: number | undefined, of: (time: string) => KeepReason): void => {
    const seen = new Set<string>()
    for (const time of newestFirst) {
      const reason = of(time)
      if (seen.has(reason)) continue
      if (seen.size >= (count ?? 0)) break
      seen.add(reason)
      keep(time, reason)
    }
  }
  each(policy.keepDaily, (time) => `day ${time.slice(0, 10)}`)
  each(policy.keepWeekly, (time) => `week ${isoWeek(time.slice(0, 10))}`)
  each(policy.keepMonthly, (time) => `month ${time.slice(0, 7)}`)
  return kept
}

/** Whether a policy says anything: one that keeps nothing of anything is none. */
export function isPolicy(policy: Policy): boolean {
  return countsOf(policy).some((count = 0) => count > 0)
}

/** Whether a policy was given, be it one that says nothing. */
export function isPolicyGiven(policy: Policy): boolean {
  return countsOf(policy).some((count) => count !== undefined)
}

function countsOf({ keepLast, keepDaily, keepWeekly, keepMonthly }: Policy): readonly (number | undefined)[] {
  return [keepLast, keepDaily, keepWeekly, keepMonthly]
}

const dayLength = 86_400_000

/** The week of a day by ISO 8601: weeks begin on Monday, and belong to the year of their Thursday. */
function isoWeek(day: string): string {
  const date = new Date(`${day}T00:00:00Z`)
  const thursday = new Date(date.getTime() + (3 - ((date.getUTCDay() + 6) % 7)) * dayLength)
  const year = thursday.getUTCFullYear()
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * dayLength))
  return `${year}-W${String(week).padStart(2, '0')}`
}
