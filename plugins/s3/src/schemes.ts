import type * as Vdisk from 'vdisk'
import type { AddressScheme } from 'vdisk'
import { S3Location } from './location.js'
import { settingsOf, SettingsError, type Settings } from './settings.js'

/** The hook `vdisk:schemes`: `s3://bucket/key`. */
export default async function schemes({
  vdisk,
}: {
  readonly vdisk: () => Promise<typeof Vdisk>
}): Promise<readonly AddressScheme[]> {
  const library = await vdisk()
  /** Read once, and only where such an address is named. */
  let settings: Settings | undefined
  return [
    {
      id: 's3',
      title: 'an object of an S3 store',
      matches: (address) => /^s3:\/\//i.test(address),
      locate: (address) => new S3Location(address, (settings ??= usedSettings(library)), library),
    },
  ]
}

/** @throws ImageError usage E_S3_SETTINGS. Secrets are kept out of everything that is printed from here on. */
export function usedSettings({ keepSecret, usage }: typeof Vdisk): Settings {
  try {
    const settings = settingsOf(process.env)
    const { secretAccessKey, sessionToken } = settings.credentials ?? {}
    for (const secret of [secretAccessKey, sessionToken]) if (secret !== undefined) keepSecret(secret, '…')
    return settings
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    throw usage('E_S3_SETTINGS', error.message)
  }
}
