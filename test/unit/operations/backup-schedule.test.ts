import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { scheduleSet, type ScheduleOptions, type ScheduleResult } from '../../../src/operations/backup/schedule.js'
import { writeSettings } from '../../../src/operations/backup/settings.js'
import { testFolder } from '../../support/folder.js'
import { have } from '../../support/tools.js'

/** Prints its arguments, each on a line. */
const program = '/usr/bin/vdisk'

function schedule(folder: string, options: Partial<ScheduleOptions> = {}, keepLast?: number): ScheduleResult {
  fs.mkdirSync(folder, { recursive: true })
  const source = { kind: 'disk', path: '/dev/sdb', size: 1, logicalSectorSize: 512, physicalSectorSize: 512 } as const
  writeSettings(folder, { source, format: 'qcow2', usedOnly: true, dropSwap: false, keepLast })
  return scheduleSet(folder, { form: 'cron', at: '2:30', program, ...options })
}

const oddNames = [
  ...['plain', 'with space', 'a%b', '100%', "o'clock", 'quo"te', 'do$llar', '${HOME}', '%h', 'back\\slash', 'end\\'],
  ...['semi;colon', 'a & b', '-dash', 'ünïcode', '#hash', '`id`', '*', 'two  spaces ', '!bang'],
]

test('what cron runs is the set, whatever its name', (t) => {
  const base = fs.realpathSync(testFolder(t))
  for (const name of oddNames) {
    const folder = join(base, name)
    const { files } = schedule(folder, { program: 'printf %s\\n' }, 3)
    const text = files[0]?.text ?? ''
    assert.equal(text.split('\n').length, 2, 'one line')
    const [, command = ''] = /^30 2 \* \* \* root (.*)\n$/s.exec(text) ?? []
    // cron(8): a percent sign ends the command, but for one behind a backslash, which goes.
    assert.doesNotMatch(command.replaceAll('\\%', ''), /%/)
    const script = command.replaceAll('\\%', '%').replaceAll("'printf %s\\n'", 'printf "%s\\n"')
    const { stdout } = spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' })
    assert.equal(stdout, `backup\nrun\n${folder}\nbackup\nprune\n${folder}\n`, name)
  }
})

test('what a line of cron cannot hold is refused, by name', (t) => {
  const base = testFolder(t)
  const long = join(base, ...Array.from({ length: 5 }, () => 'x'.repeat(240)))
  for (const folder of [join(base, 'line\nend'), join(base, 'tab\tstop'), join(base, 'bell\x07'), long])
    assert.throws(
      () => schedule(folder),
      (error) => isImageError(error) && error.code === 'E_SCHEDULE' && /--form systemd/.test(error.hint ?? ''),
    )
  // What the hint says: a short link, and the other form.
  const link = join(base, 'link')
  fs.symlinkSync(long, link)
  for (const folder of [join(base, 'line\nend'), long]) schedule(folder, { form: 'systemd' })
})

test('a set without a policy is not pruned: that would be refused each time', (t) => {
  const folder = join(testFolder(t), 'set')
  for (const form of ['cron', 'systemd'] as const) {
    const text = (keepLast?: number): string => schedule(folder, { form }, keepLast).files[0]?.text ?? ''
    assert.deepEqual([text().includes('prune'), text(3).includes('prune')], [false, true])
  }
})

test('systemd reads the units as they are meant, whatever the name of the set', (t) => {
  const base = fs.realpathSync(testFolder(t))
  const units = join(base, 'units')
  fs.mkdirSync(units)
  const names = new Set<string>()
  const paths: string[] = []
  const folders = [...oddNames, 'line\nend', 'tab\tstop', 'x'.repeat(240)].map((name) => join(base, name))
  for (const folder of folders) {
    const { files } = schedule(folder, { form: 'systemd', program: '/bin/true' }, 3)
    for (const { path, text } of files) {
      assert.match(path, /^\/etc\/systemd\/system\/[A-Za-z0-9_-]{1,240}\.(?:service|timer)$/)
      assert.ok(!names.has(path), `${path} is the unit of another set`)
      names.add(path)
      // No word of a name is a line of its own, and none goes on in the next line.
      for (const line of text.split('\n')) assert.match(line, /^(?:\[\w+\]|\w+=.*[^\\]|)$/, line)
      paths.push(join(units, path.slice('/etc/systemd/system/'.length)))
      fs.writeFileSync(paths.at(-1) ?? '', text)
    }
    const start = files[0]?.text.split('\n').filter((line) => line.startsWith('ExecStart=')) ?? []
    assert.deepEqual(
      start.map((line) => wordsOf(line.slice('ExecStart='.length))),
      ['run', 'prune'].map((verb) => ['/bin/true', 'backup', verb, folder]),
    )
  }
  if (!have(t, 'systemd-analyze')) return
  const { stderr, error } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' })
  assert.equal(error, undefined)
  const ours = stderr.split('\n').filter((line) => line.includes('vdisk-backup'))
  assert.deepEqual(ours, [])
})

/** Words of a command line by systemd.syntax(7) and systemd.unit(5), "Specifiers". */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:\\.|[^"\\])*)"|(\S+)/gs)].map(([, quoted, plain = '']) =>
    (quoted ?? plain)
      .replaceAll('%%', '%')
      .replaceAll('$$', '$')
      .replaceAll(/\\(?:x([0-9a-f]{2})|(.))/gs, (_, code?: string, one?: string) =>
        code === undefined ? (one ?? '') : String.fromCharCode(parseInt(code, 16)),
      ),
  )
}
