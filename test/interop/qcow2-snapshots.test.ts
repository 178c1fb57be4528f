import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576

async function json(schema: string, args: readonly string[], cwd: string): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await vdisk([...args, '--json'], { cwd })
  assert.equal(code, 0, stderr)
  const document = JSON.parse(stdout.toString()) as Record<string, unknown>
  assertSchema(schema, document)
  return document
}

/** Ids and names as qemu-img lists them. */
function listed(image: string): string[] {
  return run('qemu-img', 'snapshot', '-l', image)
    .split('\n')
    .slice(2)
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/).slice(0, 2).join(' '))
}

for (const options of [
  'cluster_size=65536',
  'cluster_size=4096,refcount_bits=8,lazy_refcounts=on',
  'cluster_size=65536,extended_l2=on',
  'cluster_size=65536,compat=0.10',
]) {
  test(`${options}: snapshots of both programs, one after the other, in the same image`, async (t) => {
    if (!have(t, 'qemu-img')) return
    const cwd = testFolder(t)
    const image = join(cwd, 'disk.qcow2')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', options, image, String(20 * mebibyte))
    const kept = new Map<string, Buffer>()
    const disk = (): Buffer => {
      run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', image, join(cwd, 'now.raw'))
      return fs.readFileSync(join(cwd, 'now.raw'))
    }
    const checked = async (what: string): Promise<void> => {
      assert.match(run('qemu-img', 'check', image), /No errors/, what)
      assert.equal((await vdisk(['check', 'disk.qcow2'], { cwd })).code, 0, what)
    }
    for (let round = 0; round < 4; round++) {
      run(
        'qemu-io',
        '-f',
        'qcow2',
        '-c',
        `write -P ${round + 1} ${round}M 6M`,
        '-c',
        `discard ${round * 2 + 1}M 512k`,
        image,
      )
      kept.set(`s${round}`, disk())
      if (round % 2 === 0) await json('snapshot-change', ['snapshot', 'create', 'disk.qcow2', `s${round}`], cwd)
      else run('qemu-img', 'snapshot', '-c', `s${round}`, image)
      await checked(`after s${round}`)
      assert.ok(disk().equals(kept.get(`s${round}`)!), 'the disk itself stays as it is')
    }
    assert.deepEqual(listed(image), ['1 s0', '2 s1', '3 s2', '4 s3'])
    const list = (await json('snapshot-list', ['snapshot', 'list', 'disk.qcow2'], cwd)) as {
      snapshots: { id: string; name: string; own: number; capacity: number }[]
    }
    assert.deepEqual(
      list.snapshots.map(({ id, name }) => `${id} ${name}`),
      listed(image),
    )
    for (const { own, capacity } of list.snapshots) assert.ok(own > 0 && capacity === 20 * mebibyte)
    const same = async (): Promise<void> => {
      for (const [name, content] of kept) {
        run(
          'qemu-img',
          'convert',
          '-f',
          'qcow2',
          '-l',
          `snapshot.name=${name}`,
          '-O',
          'raw',
          image,
          join(cwd, 'snapshot.raw'),
        )
        assert.ok(fs.readFileSync(join(cwd, 'snapshot.raw')).equals(content), `${name}, read by qemu-img`)
        await json('convert', ['snapshot', 'extract', 'disk.qcow2', name, 'extracted.raw', '--force'], cwd)
        assert.ok(fs.readFileSync(join(cwd, 'extracted.raw')).equals(content), `${name}, extracted`)
      }
    }
    await same()
    const dry = await json('snapshot-change', ['snapshot', 'delete', 'disk.qcow2', 's1', '--dry-run'], cwd)
    assert.equal(dry['dryRun'], true)
    assert.equal(listed(image).length, 4)
    // What qemu made is deleted here, and the other way round.
    await json('snapshot-change', ['snapshot', 'delete', 'disk.qcow2', 's1'], cwd)
    await checked('without s1')
    run('qemu-img', 'snapshot', '-d', 's2', image)
    await checked('without s2')
    kept.delete('s1')
    kept.delete('s2')
    await same()
    run('qemu-img', 'snapshot', '-a', 's0', image)
    assert.ok(disk().equals(kept.get('s0')!))
    await checked('after s0 is applied')
    for (const name of ['s0', 's3']) await json('snapshot-change', ['snapshot', 'delete', 'disk.qcow2', name], cwd)
    await checked('without any')
    assert.deepEqual(listed(image), [])
    assert.ok(disk().equals(kept.get('s0')!))
  })
}

test('a snapshot that keeps the state of a machine stays whole, and persistent bitmaps stay current', async (t) => {
  if (!have(t, 'qemu-system-x86_64') || !have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  const image = join(cwd, 'disk.qcow2')
  run('qemu-img', 'create', '-q', '-f', 'qcow2', image, String(8 * mebibyte))
  const commands = [
    { execute: 'qmp_capabilities' },
    { execute: 'human-monitor-command', arguments: { 'command-line': 'savevm running' } },
    { execute: 'quit' },
  ]
  const input = commands.map((command) => JSON.stringify(command)).join('\\n')
  const qemu = `qemu-system-x86_64 -M q35 -m 32 -display none -S -qmp stdio -drive file=${image},if=ide`
  run('bash', '-c', `printf '${input}\\n' | ${qemu}`)
  assert.deepEqual(listed(image), ['1 running'])
  const state = (line: string): string => line.split(/\s+/).slice(2, 4).join(' ')
  const before = state(run('qemu-img', 'snapshot', '-l', image).split('\n')[2]!)
  run('qemu-img', 'bitmap', '--add', image, 'changes')
  await json('snapshot-change', ['snapshot', 'create', 'disk.qcow2', 'ours'], cwd)
  assert.deepEqual(listed(image), ['1 running', '2 ours'])
  await json('snapshot-change', ['snapshot', 'delete', 'disk.qcow2', 'ours'], cwd)
  assert.equal(state(run('qemu-img', 'snapshot', '-l', image).split('\n')[2]!), before)
  const list = (await json('snapshot-list', ['snapshot', 'list', 'disk.qcow2'], cwd)) as {
    snapshots: { vmStateSize: number; own: number }[]
  }
  assert.ok(list.snapshots[0]!.vmStateSize > 100_000 && list.snapshots[0]!.own >= 100_000)
  assert.match(run('qemu-img', 'info', image), /name: changes/)
  assert.match(run('qemu-img', 'check', image), /No errors/)
  await json('snapshot-change', ['snapshot', 'delete', 'disk.qcow2', '1'], cwd)
  assert.match(run('qemu-img', 'check', image), /No errors/)
  const nothing = await vdisk(['snapshot', 'list', 'disk.qcow2'], { cwd })
  assert.match(nothing.stdout.toString(), /has no snapshots/)
})

test(
  'what cannot be: unknown snapshots, names that are taken, formats without snapshots, an image that is in ' + 'use',
  async (t) => {
    const cwd = testFolder(t)
    await vdisk(['create', 'a.qcow2', '4M'], { cwd })
    await vdisk(['create', 'a.vhdx', '4M'], { cwd })
    assert.equal((await vdisk(['snapshot', 'create', 'a.qcow2', 'one'], { cwd })).code, 0)
    const taken = await vdisk(['snapshot', 'create', 'a.qcow2', 'one', '--dry-run'], { cwd })
    assert.equal(taken.code, 2)
    assert.match(taken.stderr, /name "one" already/)
    const unknown = await vdisk(['snapshot', 'delete', 'a.qcow2', 'two'], { cwd })
    assert.equal(unknown.code, 2)
    assert.match(unknown.stderr, /there are 1 \(one\)/)
    for (const args of [
      ['list', 'a.vhdx'],
      ['create', 'a.vhdx', 'one'],
      ['delete', 'a.vhdx', 'one'],
    ])
      assert.equal((await vdisk(['snapshot', ...args], { cwd })).code, 5)
    if (!have(t, 'qemu-io')) return
    // It has the image from its first prompt to the end of its input.
    const holder = spawn('qemu-io', ['-f', 'qcow2', 'a.qcow2'], { cwd, stdio: ['pipe', 'pipe', 'inherit'] })
    const released = new Promise((resolve) => holder.once('close', resolve))
    await Promise.race([new Promise((resolve) => holder.stdout.once('data', resolve)), released])
    const held = await vdisk(['snapshot', 'create', 'a.qcow2', 'two', '--json'], { cwd })
    holder.stdin.end()
    await released
    assert.equal(held.code, 3, held.stderr)
    assert.match(held.stdout.toString(), /E_LOCKED/)
  },
)
