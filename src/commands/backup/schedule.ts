import { string } from '@oclif/core/args'
import { option, string as text } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { paragraphs } from '../../cli/paragraphs.js'

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const

export default class BackupSchedule extends BaseCommand {
  static override summary = 'Print a timer that runs a backup set regularly.'
  static override description = paragraphs(`
    Prints a timer and a service of systemd, or a line for cron, that make a point of SET and prune it. Nothing is
    installed: put what is printed where it says.
  `)
  static override examples = [
    {
      description: 'Every night, by systemd',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk --at 02:30',
    },
    {
      description: 'Every Sunday, by cron',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk --form cron --on sunday',
    },
  ]
  static override args = { set: string({ required: true, description: 'the folder of the set' }) }
  static override usage = '<%= command.id %> SET [FLAGS]'
  static override flags = {
    form: option({ options: ['systemd', 'cron'] as const, default: 'systemd', summary: 'what is printed' })(),
    at: text({ helpValue: 'HH:MM', default: '02:30', summary: 'time of day, of the computer that runs it' }),
    on: option({ options: weekdays, summary: 'day of the week; every day when left out' })(),
    program: text({ helpValue: 'PATH', default: '/usr/bin/vdisk', summary: 'where vdisk is' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupSchedule)
    const { scheduleSet } = await import('../../operations/backup/schedule.js')
    const result = scheduleSet(args.set, {
      form: flags.form,
      at: flags.at,
      weekday: flags.on === undefined ? undefined : weekdays.indexOf(flags.on),
      program: flags.program,
    })
    await this.show({
      schema: 'vdisk.backup-schedule',
      result,
      view: () => import('../../cli/view/backup-schedule.js'),
    })
  }
}
