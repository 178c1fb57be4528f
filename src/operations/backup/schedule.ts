import { createHash } from 'node:crypto'
import { printable, usage, type HostPath } from '../../errors.js'
import { shellWord } from '../../sys/shell-word.js'
import { isPolicy } from './keep.js'
import { setFolder } from './set.js'
import { readSetSettings } from './settings.js'

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
 * @throws ImageError usage E_NO_SET, E_TIME, E_SCHEDULE; corrupt E_SET_SETTINGS
 */
export function scheduleSet(set: string, { form, at, weekday, program }: ScheduleOptions): ScheduleResult {
  const folder = setFolder(set)
  const [, hour, minute] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(at) ?? []
  if (hour === undefined || minute === undefined)
    throw usage('E_TIME', `${printable(at)} is no time of day`, { hint: 'Write it as 02:30.' })
  // Without a policy a prune is refused, and the timer would fail each time.
  const verbs = isPolicy(readSetSettings(folder)) ? ['run', 'prune'] : ['run']
  const commands = verbs.map((verb) => [program, 'backup', verb, folder])
  if (form === 'cron') {
    const text = `${Number(minute)} ${Number(hour)} * * ${weekday ?? '*'} root ${cronCommand(folder, commands)}\n`
    return { set: folder, form, files: [{ path: `/etc/cron.d/${unitName(folder)}`, text }], next: [] }
  }
  const name = unitName(folder)
  // In brackets: a backslash at the end of a line would take the next one with it.
  const description = `Description=vdisk backup set (${unitText(folder)})`
  const service = [
    '[Unit]',
    description,
    '',
    '[Service]',
    'Type=oneshot',
    'Nice=10',
    'IOSchedulingClass=idle',
    ...commands.map((words) => `ExecStart=${words.map(unitWord).join(' ')}`),
    '',
  ]
  const day = weekday === undefined ? '' : `${days[weekday] ?? 'Sun'} `
  const timer = [
    '[Unit]',
    description,
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
  const isPlain = /^[A-Za-z0-9_/]*$/.test(folder) && words.length <= longestName
  return `vdisk-backup-${words.slice(0, longestName)}${isPlain ? '' : `-${digest}`}`
}

/** Characters of the path in a unit's name, which may have 255. */
const longestName = 150
/** A longer command is cut off by cron (MAX_COMMAND there), or the line is passed over. */
const longestCommand = 998

/**
 * The command of a line of cron, which /bin/sh runs. @throws ImageError usage E_SCHEDULE where a line cannot name the
 * set.
 */
function cronCommand(folder: HostPath, commands: readonly (readonly string[])[]): string {
  const words = commands.map((each) => each.map(shellWord))
  // In a crontab a percent sign ends the command.
  const command = words
    .map((each) => each.join(' '))
    .join(' && ')
    .replaceAll('%', '\\%')
  // What only shells later than those of cron understand.
  const isOdd = words.flat().some((word) => word.startsWith("$'"))
  if (!isOdd && command.length <= longestCommand) return command
  throw usage(
    'E_SCHEDULE',
    `cron cannot run the backup set ${printable(folder)}: ` +
      (isOdd ? 'its name has characters that a line of cron cannot hold' : 'its path is too long for a line of cron'),
    { hint: 'Use --form systemd, or name the set by a short link to it.' },
  )
}

const unitText = (text: string): string => printable(text).replaceAll('%', '%%')

/** A word of ExecStart (systemd.service(5), "Command lines"; systemd.syntax(7), "Quoting"). */
function unitWord(word: string): string {
  const text = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('%', '%%')
    .replaceAll('$', '$$$$')
    // A byte that is not UTF-8 stands as U+DC00 + byte.
    .replaceAll(/[\x01-\x1f\x7f\udc80-\udcff]/g, (character) => {
      const code = character.charCodeAt(0)
      return `\\x${(code >= 0xdc80 ? code - 0xdc00 : code).toString(16).padStart(2, '0')}`
    })
  return /^[A-Za-z0-9_./:@%$-]+$/.test(text) ? text : `"${text}"`
}
