import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { variedDisk } from '../support/killed.js'
import { sshd, sshdMissing } from '../support/sshd.js'

const mebibyte = 1048576
/** What a kill may cost: bytes that are sent once more. */
const mostTwice = 64 * mebibyte

/** Where an upload is killed: bytes of the unfinished file that are there. The first is before anything is kept. */
const moments = [10, 50, 51, 90, 140].map((count) => count * mebibyte)

test(
  'ssh: an upload to a real server that is killed at several moments goes on, and is what one run makes',
  { skip: sshdMissing() },
  async (t) => {
    const cwd = testFolder(t)
    const there = join(cwd, 'there')
    fs.mkdirSync(there)
    const disk = join(cwd, 'disk.raw')
    variedDisk(disk, 73, 176)
    const server = await sshd(t, cwd)
    const state = join(cwd, 'state')
    const env = { ...server.env, XDG_STATE_HOME: state }
    for (const [name, ...options] of [['disk.raw'], ['disk.vhdx']] as const) {
      const path = join(there, name)
      const words = ['convert', 'disk.raw', `ssh://${server.host}${path}`, '--resume', ...options]
      const length = (): number => {
        const [partial] = fs.readdirSync(there).filter((each) => each.startsWith(`.${name}.partial-`))
        return partial === undefined ? 0 : fs.statSync(join(there, partial)).size
      }
      /** What the next run goes on behind. */
      const kept = (): number => {
        const folder = join(state, 'vdisk/resume')
        const [found] = fs.existsSync(folder) ? fs.readdirSync(folder).filter((each) => each.endsWith('.json')) : []
        if (found === undefined) return 0
        const { sent } = (
          JSON.parse(fs.readFileSync(join(folder, found), 'utf8')) as { readonly state: { readonly sent: number } }
        ).state
        return sent
      }
      let killed = 0
      for (const moment of moments) {
        let isEnded = false
        const { code, stderr } = await vdisk([...words, '--progress', 'json'], {
          cwd,
          env,
          onError: (_text, child) => {
            const watch = (): void => {
              if (isEnded) return
              if (length() >= moment) child.kill('SIGKILL')
              else setTimeout(watch, 2)
            }
            watch()
          },
        })
        isEnded = true
        assert.equal(code, 'SIGKILL', stderr)
        killed++
        // What the server still had in its pipe arrives.
        while (server.sessions().length > 0) await new Promise((next) => setTimeout(next, 10))
        assert.ok(!fs.existsSync(path), 'there is no target')
        assert.ok(length() - kept() <= mostTwice, `${length()} bytes are there, and ${kept()} are kept`)
      }
      assert.equal(killed, moments.length)
      const before = kept()
      assert.ok(before > 0)
      const { code, stdout, stderr } = await vdisk([...words, '--json'], { cwd, env })
      assert.equal(code, 0, stderr)
      assert.equal((JSON.parse(stdout.toString()) as { resumed: number }).resumed, before)
      assert.deepEqual(fs.readdirSync(there), [name])
      assert.deepEqual(fs.readdirSync(join(state, 'vdisk/resume')), [])
      const compared = await vdisk(['compare', 'disk.raw', path], { cwd })
      assert.equal(compared.code, 0, compared.stderr)
      if (name === 'disk.raw') assert.ok(fs.readFileSync(path).equals(fs.readFileSync(disk)))
      fs.unlinkSync(path)
    }
  },
)
