import { count } from './flags.js'

/** Which points of a backup set are kept. */
export const keepFlags = {
  'keep-last': count({ summary: 'keep so many of the newest points', helpGroup: 'POLICY' }),
  'keep-daily': count({ summary: 'keep the newest point of each of so many days that have one', helpGroup: 'POLICY' }),
  'keep-weekly': count({ summary: 'the same, of weeks', helpGroup: 'POLICY' }),
  'keep-monthly': count({ summary: 'the same, of months', helpGroup: 'POLICY' }),
}

/** What those flags say. */
export function keepValues(flags: Readonly<Record<keyof typeof keepFlags, number | undefined>>) {
  return {
    keepLast: flags['keep-last'],
    keepDaily: flags['keep-daily'],
    keepWeekly: flags['keep-weekly'],
    keepMonthly: flags['keep-monthly'],
  }
}
