import { createHash } from 'node:crypto'
import { printable, usage } from '../../errors.js'
import { shellWord } from '../../sys/shell-word.js'
import { setFolder } from './set.js'

export interface ScheduleOptions {
  readonly form: 'systemd' | 'cron'
  /** `HH:MM` */
  readonly at: string
  /** The day of the week, 0: Sunday; absent: every day. */
  readonly weekday?: number
  /** What starts vdisk. */
  readonly program: string
}

export interface ScheduleResult {
  readonly set: string
  readonly form: 'systemd' | 'cron'
  /** What is to be put where; nothing is installed. */
  readonly files: readonly { readonly path: string; readonly text: string }[]
  /** Commands that put it into effect. */
  readonly next: readonly string[]
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const

/**
 * What a timer of the system has to say so that a set gets a point regularly.
 * @throws ImageError usage E_NO_SET, E_TIME
 */
export function scheduleSet(set: string, { form, at, weekday, program }: ScheduleOptions): ScheduleResult {
  const folder = setFolder(set)
  const [, hour, minute] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(at) ?? []
  if (hour === undefined || minute === undefined)
    throw usage('E_TIME', `${printable(at)} is no time of day`, { hint: 'Write it as 02:30.' })
  const run = ['backup', 'run', folder]
  const prune = ['backup', 'prune', folder]
  if (form === 'cron') {
    // In a crontab a percent sign ends the command.
    const line = (words: readonly string[]): string =>
      [program, ...words].map(shellWord).join(' ').replaceAll('%', '\\%')
    const text = `${Number(minute)} ${Number(hour)} * * ${weekday ?? '*'} root ${line(run)} && ${line(prune)}\n`
    return { set: folder, form, files: [{ path: `/etc/cron.d/${unitName(folder)}`, text }], next: [] }
  }
  const name = unitName(folder)
  const service = [
    '[Unit]',
    `Description=vdisk backup set ${unitText(folder)}`,
    '',
    '[Service]',
    'Type=oneshot',
    'Nice=10',
    'IOSchedulingClass=idle',
    `ExecStart=${[program, ...run].map(unitWord).join(' ')}`,
    `ExecStart=${[program, ...prune].map(unitWord).join(' ')}`,
    '',
  ]
  const day = weekday === undefined ? '' : `${days[weekday] ?? 'Sun'} `
  const timer = [
    '[Unit]',
    `Description=vdisk backup set ${unitText(folder)}`,
    '',
    '[Timer]',
    `OnCalendar=${day}*-*-* ${hour.padStart(2, '0')}:${minute}:00`,
    'Persistent=true',
    '',
    '[Install]',
    'WantedBy=timers.target',
    '',
  ]
  return {
    set: folder,
    form,
    files: [
      { path: `/etc/systemd/system/${name}.service`, text: service.join('\n') },
      { path: `/etc/systemd/system/${name}.timer`, text: timer.join('\n') },
    ],
    next: ['systemctl daemon-reload', `systemctl enable --now ${name}.timer`],
  }
}

/**
 * A name for a unit or a file of cron.d, which take few characters: two sets never have the same. Where characters
 * had to be replaced, or `-` stands for itself, a digest of the path says which set it is of.
 */
function unitName(folder: string): string {
  const words = folder.replace(/^\/+/, '').replace(/[^A-Za-z0-9_]/g, '-')
  const digest = createHash('sha256').update(folder).digest('hex').slice(0, 8)
  return `vdisk-backup-${words}${/^[A-Za-z0-9_/]*$/.test(folder) ? '' : `-${digest}`}`
}

const unitText = (text: string): string => printable(text).replaceAll('%', '%%')

/** A word of ExecStart (systemd.service(5), "Command lines"). */
function unitWord(word: string): string {
  const text = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[A-Za-z0-9_./:@%$-]+$/.test(text) ? text : `"${text}"`
}
