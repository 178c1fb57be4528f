// What a page of docs/tutorials says to type, and what it says will be seen.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'

/**
 * Types a page into a shell, line by line. Two names are this machine's: /dev/loop0 is the disk that losetup gave, as
 * the page says, and /dev/shm/practice.img is a file of the same kind with a name of its own.
 * @param type runs a line, as `spawnSync` does
 * @returns what each line did, and whether the page shows the same. Both names are freed when the last line is done, or
 * when nobody wants to know more.
 */
export function* typedLines(page, type) {
  const practice = `/dev/shm/practice-${process.pid}.img`
  let device
  try {
    for (const { command, shown } of stepsOf(page)) {
      const own = (text) =>
        text.replaceAll('/dev/shm/practice.img', practice).replaceAll('/dev/loop0', device ?? '/dev/loop0')
      const { status, stdout, stderr } = type(own(command))
      if (command.includes('losetup --find')) device = stdout.trim()
      if (command.includes('losetup --detach')) device = undefined
      yield { command, status, stdout, stderr, isAsShown: pattern(shown.map(own)).test(stdout) }
    }
  } finally {
    if (device !== undefined) spawnSync('losetup', ['--detach', device])
    rmSync(practice, { force: true })
  }
}

/** The commands of a page, each with the lines that the page shows; `…` stands for any others. */
function stepsOf(page) {
  const blocks = [...page.matchAll(/^```console\n([^]*?)^```$/gm)].map(([, block]) => block)
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((text) => {
        const [command, ...shown] = text.trimEnd().split('\n')
        return { command, shown }
      }),
  )
}

/**
 * The outputs that a page may mean: `…` alone is any lines, within a line any characters; where it shows nothing,
 * any.
 */
function pattern(shown) {
  if (shown.length === 0) return /(?:)/
  const lines = shown.map((line) => (line === '…' ? '(?:.*\n)*' : `${line.split('…').map(escaped).join('.*')}\n`))
  return new RegExp(`^${lines.join('')}$`)
}

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
