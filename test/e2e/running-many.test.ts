import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { parse } from 'yaml'
import { root } from '../support/cli.js'
import { variedDisk } from '../support/killed.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

const manual = fs.readFileSync(join(root, 'docs/running-many.md'), 'utf8')

/** The example of a section of docs/running-many.md. */
function example(section: string): string {
  const text = manual.slice(manual.indexOf(`## ${section}\n`))
  const found = /```\w+\n([^]*?)```/.exec(text)?.[1]
  assert.ok(found, section)
  return found
}

/** A folder with a disk, and `vdisk` on the path. */
function workplace(t: TestContext, disk: string): { readonly cwd: string; readonly env: Record<string, string> } {
  const cwd = testFolder(t)
  fs.mkdirSync(join(cwd, 'bin'))
  const program = `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'bin/run.js')}' "$@"\n`
  fs.writeFileSync(join(cwd, 'bin/vdisk'), program, { mode: 0o755 })
  variedDisk(join(cwd, disk), 3, 8)
  const env = { PATH: `${join(cwd, 'bin')}:${process.env['PATH'] ?? ''}`, HOME: cwd, TERM: 'dumb' }
  return { cwd, env }
}

function sh(script: string, { cwd, env }: { readonly cwd: string; readonly env: Record<string, string> }) {
  const { status, stdout, stderr } = spawnSync('bash', ['-o', 'pipefail', '-c', script], { cwd, env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

test('running many: the command of the Kubernetes job, with a read-only root, as nobody', (t) => {
  if (!have(t, 'unshare') || !have(t, 'setpriv')) return
  const place = workplace(t, 'disk.raw')
  const { cwd, env } = place
  const at = (name: string): string => join(cwd, name)
  for (const name of ['in', 'out', 'tmp']) fs.mkdirSync(at(name))
  for (const name of ['out', 'tmp']) fs.chownSync(at(name), 64321, 64321)
  fs.chmodSync(cwd, 0o755)
  fs.writeFileSync(at('message'), '')
  fs.chownSync(at('message'), 64321, 64321)
  assert.equal(sh('vdisk convert disk.raw in/server1.vmdk', place).status, 0)
  fs.chmodSync(at('in/server1.vmdk'), 0o644)

  interface Container {
    readonly command: readonly string[]
    readonly env: readonly { readonly name: string; readonly value: string }[]
  }
  const job = parse(example('Kubernetes')) as {
    readonly spec: {
      readonly podFailurePolicy: { readonly rules: readonly { readonly onExitCodes: { readonly values: number[] } }[] }
      readonly template: {
        readonly spec: {
          readonly securityContext: { readonly runAsUser: number }
          readonly containers: readonly Container[]
        }
      }
    }
  }
  const { securityContext, containers } = job.spec.template.spec
  const container = containers[0]
  assert.ok(container)
  const here = (text: string): string =>
    text.replace(/^\/(in|out)\//, `${cwd}/$1/`).replace('/dev/termination-log', at('message'))
  const words = container.command.map(here).map((word) => `'${word}'`)
  const settings = container.env.map(({ name, value }) => `${name}='${here(value)}'`)
  const user = String(securityContext.runAsUser)
  // What may be written is mounted by itself; all else is read-only.
  const pod = (command: string): string =>
    [
      'mount --make-rprivate /',
      ...['out', 'tmp', 'message'].map((name) => `mount --bind '${at(name)}' '${at(name)}'`),
      `root=$(stat -c %m '${cwd}'); mount --bind "$root" "$root" 2>/dev/null; mount -o remount,bind,ro /`,
      `exec setpriv --reuid ${user} --regid ${user} --clear-groups --no-new-privs env -i PATH='${env['PATH'] ?? ''}' ` +
        `TMPDIR='${at('tmp')}' ${settings.join(' ')} sh -c '! touch "${cwd}/x" 2>/dev/null && exec "$@"' sh ${command}`,
    ].join(' && ')
  const run = (command: string) =>
    spawnSync('unshare', ['-m', 'sh', '-c', pod(command)], { cwd, env, encoding: 'utf8' })
  const made = run(words.join(' '))
  assert.equal(made.status, 0, made.stderr)
  assert.equal(sh('vdisk compare disk.raw out/server1.qcow2', place).status, 0)
  assert.equal(fs.statSync(at('out/server1.qcow2')).uid, 64321)
  assert.equal(fs.readFileSync(at('message'), 'utf8'), '')
  // Help is oclif's, which asks who the user is.
  assert.equal(run('vdisk convert --help').status, 0)
  // A pod that is started again finds it done.
  const again = run([...words, '--json'].join(' '))
  assert.equal((JSON.parse(again.stdout) as { readonly already: boolean }).already, true, again.stderr)

  // Damaged: the message says so, and the job is not tried again.
  fs.writeFileSync(at('in/server1.vmdk'), fs.readFileSync(at('in/server1.vmdk')).subarray(0, 70_000))
  fs.rmSync(at('out/server1.qcow2'))
  const failed = run(words.join(' '))
  const final = job.spec.podFailurePolicy.rules[0]?.onExitCodes.values ?? []
  assert.ok(final.includes(failed.status ?? 0), `${failed.status} ${failed.stderr}`)
  const message = fs.readFileSync(at('message'), 'utf8')
  assert.match(message, /server1\.vmdk/)
  assert.ok(Buffer.byteLength(message) <= 4096)
  assert.deepEqual(fs.readdirSync(at('tmp')), [])
})

test('running many: the script for Slurm takes the disk of its task, and is done the second time', (t) => {
  const place = workplace(t, 'b.raw')
  const { cwd, env } = place
  fs.writeFileSync(join(cwd, 'disks.txt'), 'a.raw\nb.raw\n')
  const task = { cwd, env: { ...env, SLURM_ARRAY_TASK_ID: '2' } }
  for (let count = 0; count < 2; count++) {
    const { status, stderr } = sh(example('Slurm'), task)
    assert.equal(status, 0, stderr)
  }
  assert.equal(sh('vdisk compare b.raw b.qcow2', place).status, 0)
  assert.notEqual(sh(example('Slurm'), { ...task, env: { ...task.env, SLURM_ARRAY_TASK_ID: '1' } }).status, 0)
})

test('running many: the Ansible task changes something once', (t) => {
  const place = workplace(t, 'server1.raw')
  fs.mkdirSync(join(place.cwd, 'vm'))
  assert.equal(sh('vdisk convert server1.raw vm/server1.vmdk', place).status, 0)
  const [task] = parse(example('Ansible')) as readonly [
    { readonly 'ansible.builtin.command': { readonly cmd: string } },
  ]
  const command = task['ansible.builtin.command'].cmd.replaceAll('/vm/', `${place.cwd}/vm/`)
  const already = [0, 1].map(() => {
    const { status, stdout, stderr } = sh(command, place)
    assert.equal(status, 0, stderr)
    return (JSON.parse(stdout) as { readonly already?: boolean }).already ?? false
  })
  assert.deepEqual(already, [false, true])
})

test('running many: the step of CI ends with the code of vdisk', (t) => {
  const place = workplace(t, 'disk.raw')
  fs.truncateSync(join(place.cwd, 'disk.raw'), 24 * 1048576)
  const [step] = parse(example('CI')) as readonly [{ readonly run: string }]
  const made = sh(step.run, place)
  assert.equal(made.status, 0, made.stderr)
  const answer = JSON.parse(fs.readFileSync(join(place.cwd, 'answer.json'), 'utf8')) as { readonly verified: boolean }
  assert.ok(answer.verified)
  assert.equal(sh(step.run, place).status, 7)
})
